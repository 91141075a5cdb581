"""One tree of errors, by what the handler does about them."""


class QyranError(Exception):
    """Something unexpected, in plain words: what is wrong, where, and what to do.

    Parameters
    ----------
    message
        What is wrong, naming the figure or file at fault.
    kind
        Stable dotted code that machines and statistics use, e.g. ``rpc.nonfinite``.
    where
        The file, field or stage at fault.
    remedy
        What the reader can do about it.
    """

    default_kind = "error"

    def __init__(
        self, message: str, *, kind: str | None = None, where: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind or self.default_kind
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        where = f" [{self.where}]" if self.where else ""
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{self.message}{where}.{remedy}" if not self.message.endswith(".") else f"{self.message}{where}{remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.kind, self.where, self.remedy))


def _rebuild(cls: type[QyranError], message: str, kind: str, where: str | None, remedy: str | None) -> QyranError:
    """Rebuild an error after its journey between processes: exceptions pickle badly with keyword arguments."""
    return cls(message, kind=kind, where=where, remedy=remedy)


class Retryable(QyranError):
    """Worth trying again later: a lock, a full queue, a resource that comes back."""

    default_kind = "retryable"


class BadInput(QyranError):
    """The package or request is at fault: keep it, quarantine it, say why."""

    default_kind = "bad_input"


class Denied(QyranError):
    """Policy says no."""

    default_kind = "denied"


class Conflict(QyranError):
    """It contradicts what is already kept: same identity, other content."""

    default_kind = "conflict"


class Defect(QyranError):
    """Our own promise does not hold: a bug, or damage to the archive."""

    default_kind = "defect"
