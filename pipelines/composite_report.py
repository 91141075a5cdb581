"""What a run of ``build-composite`` shows of its result besides what every product's run does: what each item gave."""

from processing.model.product import Product


def show_composition(product: Product) -> None:
    """Attach to the current run: how much of the area is covered, and the part that each item had in it."""
    from prefect.artifacts import create_markdown_artifact

    key = "".join(letter if letter.isalnum() else "-" for letter in product.id.lower())
    create_markdown_artifact(
        key=f"composition-{key}", markdown=composition_table(product), description=f"What {product.id} is made of"
    )


def composition_table(product: Product) -> str:
    """Markdown: figures of a composite, and a line for each of its items."""
    said = product.quality["composition"]
    rows = [
        f"| {name} | {part['acquired']} | {part['clear_percent']:.2f} | {part['used_percent']:.2f} |"
        for name, part in said["items"].items()
    ]
    return "\n".join(
        [
            f"## {product.id}: {said['method']} of {len(rows)} items",
            f"- {said['coverage_percent']:.2f} % of the area has a value",
            f"- {said['observations_mean']:.2f} clear observations a pixel, {said['observations_most']} at most",
            f"- pixels with fewer than {said['minimum_observations']} have no value",
            "",
            "| item | acquired | clear, % of the area | used, % of the area |",
            "|---|---|---:|---:|",
            *rows,
        ]
    )
