"""Subscriptions through HTTP and from the command line: a customer's own, and nobody else's."""

import json

import pytest
from typer.testing import CliRunner

from configs.schema.catalogue import CatalogueConfig
from pipelines.cli import app
from tests.delivery.conftest import POLICY
from tests.delivery.test_orders_api import Shop
from tests.services.api import api_serving

pytestmark = pytest.mark.services
RUN = CliRunner()


@pytest.fixture
def shop(house):
    config = CatalogueConfig(requests_per_second=1e6, burst=1_000_000, policy=POLICY)
    (house.home / "configs").mkdir(exist_ok=True)
    with api_serving(house.home, config=config) as server:
        yield Shop(house, server)


def wanted(shop: Shop, **more):
    return {
        "area": shop.house.inner(0.2, 0.2, 0.8, 0.8), "collections": [shop.house.product.collection],
        "order": {"licence_accepted": "kz-export-eula-2"},
    } | more  # fmt: skip


def test_a_customer_subscribes_and_sees_only_its_own(shop):
    with shop.client("buyer") as buyer, shop.client("rival") as rival, shop.client(None) as nobody:
        expected = buyer.post("/subscriptions?dry_run=true", json=wanted(shop)).json()
        assert (expected["matching"], expected["decision"], expected["licences"]) == (1, "allow", ["kz-export-eula-2"])
        assert expected["examples"][0]["currency"] == "USD"
        bare = buyer.post("/subscriptions?dry_run=true", json=wanted(shop, order={})).json()
        assert bare["licences"] == expected["licences"]
        assert "1 would be delivered as they are." in expected["words"]
        assert buyer.get("/subscriptions").json() == {"subscriptions": []}
        body = wanted(shop, submission_key="k", notify={"webhook": "https://hooks.example/x"})
        placed = buyer.post("/subscriptions", json=body)
        assert placed.status_code == 201
        found = placed.json()
        assert placed.headers["location"].endswith(f"/subscriptions/{found['id']}")
        assert found["secret"].startswith("whsec_")
        assert buyer.post("/subscriptions", json=body).json()["id"] == found["id"]
        assert buyer.post("/subscriptions", json=body | {"cloud_cover": 5}).status_code == 409
        shown = buyer.get(f"/subscriptions/{found['id']}")
        assert (shown.json()["state"], shown.json()["items"]) == ("active", [])
        assert "whsec_" not in shown.text
        assert buyer.post(f"/subscriptions/{found['id']}/secret").json()["secret"] != found["secret"]
        assert rival.get("/subscriptions").json() == {"subscriptions": []}
        assert rival.get("/subscriptions/notices").json() == {"notices": []}
        none = "sub-20260101-" + "0" * 32
        steps = (("GET", ""), ("GET", "/notices"), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/secret"))
        for method, path in (*steps, ("DELETE", "")):
            foreign, missing = (rival.request(method, f"/subscriptions/{one}{path}") for one in (found["id"], none))
            assert foreign.status_code == missing.status_code == 404, path
            assert foreign.content == missing.content
        for path in ("", "/notices", f"/{found['id']}"):
            assert nobody.get(f"/subscriptions{path}").status_code == 401
        assert buyer.post(f"/subscriptions/{found['id']}/resume").status_code == 409
        assert buyer.post(f"/subscriptions/{found['id']}/pause").json()["state"] == "paused"
        assert buyer.post(f"/subscriptions/{found['id']}/resume").json()["state"] == "active"
        assert buyer.delete(f"/subscriptions/{found['id']}").json()["state"] == "ended"
        assert buyer.delete(f"/subscriptions/{found['id']}").json()["state"] == "ended"
        assert buyer.get(f"/subscriptions/{found['id']}/notices").json()["notices"][0]["type"] == "subscription.ended"
    with shop.server.client(operator=True) as operator:
        (all_of_them,) = operator.get("/subscriptions").json()["subscriptions"]
        assert all_of_them["customer"] == shop.house.ids["buyer"]


def test_what_is_wrong_is_said_in_plain_words(shop):
    with shop.client("buyer") as buyer:
        for wrong, status, code in (
            ({"order": {}}, 422, "order.licence"),
            ({"collections": ["no-such"]}, 422, "subscription.collection"),
            ({"notify": {"webhook": "https://[::1]/x"}}, 422, "subscription.webhook"),
            ({"notify": {"webhook": "file:///etc/passwd"}}, 400, "request.invalid"),
            ({"notify": {"mail": "a@b\r\nBcc: c@d"}}, 400, "request.invalid"),
            ({"collections": []}, 400, "request.invalid"),
            ({"area": {"type": "Feature", "properties": {"a": "\ud800"}, "geometry": None}}, 400, "request.invalid"),
            ({"area": {"type": "Polygon", "note": "x" * 600_000, "coordinates": []}}, 400, "request.invalid"),
            ({"to": "s3://else/where"}, 400, "request.invalid"),
        ):
            text = json.dumps(wanted(shop, **wrong))
            answer = buyer.post("/subscriptions", content=text, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_the_operator_looks_after_subscriptions(house, tmp_path):
    area = tmp_path / "area.geojson"
    area.write_text(json.dumps(house.inner(0.1, 0.1, 0.9, 0.9)))

    def qyran(*words):
        shown = RUN.invoke(app, ["subscription", *words, "--home", str(house.home), "--json"])
        assert shown.exit_code == 0, shown.output
        return json.loads(shown.stdout)

    asked = ("--area", str(area), "--collection", house.product.collection, "--customer", "buyer")
    quote = qyran("add", *asked, "--accept-licence", "kz-export-eula-2", "--quote")
    assert quote["matching"] == 1
    added = qyran(
        "add", *asked, "--accept-licence", "kz-export-eula-2", "--mail", "eo@buyer.example", "--km2-month", "50",
        "--cloud", "100", "--until", "2100-01-01",
    )  # fmt: skip
    refused = RUN.invoke(app, ["subscription", "add", *asked, "--home", str(house.home), "--json"])
    assert (refused.exit_code, json.loads(refused.stdout)["error"]["kind"]) == (1, "order.licence")
    assert [one["id"] for one in qyran("list", "--customer", "buyer")["subscriptions"]] == [added["id"]]
    assert qyran("pause", added["id"])["state"] == "paused"
    assert qyran("resume", added["id"])["state"] == "active"
    assert qyran("run")["subscriptions"] == 1
    assert qyran("show", added["id"])["items"] == []
    assert qyran("end", added["id"])["state"] == "ended"
    assert qyran("notices", "--customer", "buyer")["notices"][0]["type"] == "subscription.ended"
    wrong = RUN.invoke(app, ["subscription", "add", "--area", str(area), "--home", str(house.home)])
    assert wrong.exit_code == 2
