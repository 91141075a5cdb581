"""Notices on their way: posted to webhooks, or laid as mail files for the operator's own mail server to send.

Each is on record in the audit log before it goes out, and policy is asked once more: what a customer may not know of by
now is not told, whatever was true when the notice was written.
"""

import json
import logging
import sqlite3
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from catalogs.delivery.order_desk import audit_of
from catalogs.delivery.subscriptions import Subscription, moment
from catalogs.delivery.subscriptions_desk import Subscriptions
from catalogs.delivery.subscriptions_scan import party_of
from catalogs.delivery.subscriptions_store import Sending
from catalogs.delivery.subscriptions_tell import as_json
from catalogs.delivery.subscriptions_webhook import Answer, post, webhook_secret
from catalogs.delivery.subscriptions_words import letter
from catalogs.policy.decide import decide
from catalogs.policy.terms import Action, Effect, product_facts
from configs.catalogue import load_catalogue_config
from configs.schema.subscriptions import Language
from processing.archive import durable
from processing.model.errors import BadInput

log = logging.getLogger(__name__)
MAIL = "mail/outgoing"
"""Below HOME: mail files to be sent. Whoever sends one takes it away."""
_LONGEST_RUN_S = 20.0
DUE, SENT, GIVEN_UP, WITHHELD = "due", "sent", "given up", "withheld"


@dataclass(slots=True)
class Sent:
    """What one run sent."""

    sent: int = 0
    later: int = 0
    """Not taken, and tried again."""
    given_up: int = 0
    withheld: int = 0
    """Not to be told any more."""


def send(place: Subscriptions, now: datetime) -> Sent:
    """Send what is due. A webhook that fails once gets nothing more in this run: the others need not wait for it."""
    found, begun, shut = Sent(), time.monotonic(), set[str | None]()
    for sending in due(place, now):
        if time.monotonic() - begun > _LONGEST_RUN_S:
            break
        if sending.channel == "webhook" and sending.subscription in shut:
            continue
        if not _may_be_told(place, sending, now):
            _settle(place, sending, WITHHELD)
            found.withheld += 1
            continue
        if sending.tries == 0:
            audit_of(place.desk.home).append(
                sending.customer, "notice.send", [sending.item] if sending.item else [], request_id=sending.notice,
                facts={"kind": sending.kind, "channel": sending.channel},
            )  # fmt: skip
        answer = _post(place, sending, now) if sending.channel == "webhook" else _lay(place, sending)
        if answer.taken:
            _settle(place, sending, SENT)
            found.sent += 1
        elif _tried(place, sending, answer, now):
            found.later += 1
            shut.add(sending.subscription)
        else:
            found.given_up += 1
    forget_old(place, now)
    return found


def due(place: Subscriptions, now: datetime) -> tuple[Sending, ...]:
    """What is to be sent, the oldest first."""
    sql = (
        "SELECT s.notice, s.channel, s.tries, n.customer, n.subscription, n.kind, n.item, n.created, n.body"
        " FROM sendings AS s JOIN notices AS n ON n.id = s.notice WHERE s.state = ? AND s.next_try <= ?"
        " ORDER BY n.created, n.rowid, s.channel LIMIT ?"
    )
    with place.store.db.read() as db:
        rows = db.execute(sql, (DUE, moment(now), place.rules.notices_a_run)).fetchall()
    return tuple(_sending(row) for row in rows)


def notices(
    place: Subscriptions, *, customer: str | None = None, subscription: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """What somebody was told, the latest first, with how it went out."""
    sql, values = "SELECT id, kind, created, subscription, body FROM notices WHERE 1", list[str | int]()
    for name, value in (("customer", customer), ("subscription", subscription)):
        if value is not None:
            sql += f" AND {name} = ?"
            values.append(value)
    base = origin(place)
    with place.store.db.read() as db:
        rows = db.execute(f"{sql} ORDER BY created DESC, rowid DESC LIMIT ?", (*values, limit)).fetchall()
        return [
            as_json(row["id"], row["kind"], row["created"], row["subscription"], json.loads(row["body"]), base)
            | {"sent": _ways_of(db, row["id"])}
            for row in rows
        ]


def _ways_of(db: sqlite3.Connection, notice: str) -> list[dict[str, Any]]:
    rows = db.execute("SELECT channel, state, tries, fault FROM sendings WHERE notice = ? ORDER BY channel", (notice,))
    return [dict(row) for row in rows]


def origin(place: Subscriptions) -> str:
    """Beginning of the links in notices."""
    return load_catalogue_config(place.desk.home / "configs").public_url or place.rules.origin


def forget_old(place: Subscriptions, now: datetime) -> None:
    """Forget notices that could be read long enough."""
    limit = moment(now - timedelta(days=place.rules.keep_notices_days))
    with place.store.db.write() as db:
        # What is announced but once keeps its name for as long as it could be announced again.
        db.execute("DELETE FROM notices WHERE created < ? AND kind != 'item.superseded'", (limit,))


def _sending(row: sqlite3.Row) -> Sending:
    return Sending(**(dict(row) | {"body": json.loads(row["body"])}))


def _may_be_told(place: Subscriptions, sending: Sending, now: datetime) -> bool:
    """Whether its customer may still come in, and know of the item."""
    party = party_of(place, sending.customer, now)
    if party is None:
        return False
    if sending.item is None:
        return True
    collection, _, item_id = sending.item.partition("/")
    item = place.desk.store.get_item(collection, item_id)
    if item is None:
        return False
    return decide(product_facts(item), Action.DISCOVER, party, now, place.desk.policy).effect is not Effect.DENY


def _subscription(place: Subscriptions, sending: Sending) -> Subscription | None:
    try:
        return None if sending.subscription is None else place.store.find(sending.subscription)
    except BadInput:
        return None


def _document(place: Subscriptions, sending: Sending) -> dict[str, Any]:
    return as_json(
        sending.notice, sending.kind, sending.created, sending.subscription, sending.body, origin(place)
    )  # fmt: skip


def _post(place: Subscriptions, sending: Sending, now: datetime) -> Answer:
    found = _subscription(place, sending)
    if found is None or found.request.notify.webhook is None:
        return Answer(fault="it has no webhook")
    body = json.dumps(_document(place, sending), ensure_ascii=False, separators=(",", ":")).encode()
    return post(
        found.request.notify.webhook, sending.notice, body, timestamp=int(now.timestamp()), rules=place.rules.webhooks,
        secret=webhook_secret(place.desk.home, found.id, found.generation),
    )  # fmt: skip


def _lay(place: Subscriptions, sending: Sending) -> Answer:
    """Lay a mail file: whole or not at all, the same one however often."""
    found = _subscription(place, sending)
    address = None if found is None else found.request.notify.mail
    language: Language = "en" if found is None else found.request.notify.language
    address = address or place.desk.customers.get(sending.customer).details.email
    if address is None:
        return Answer(fault="it has no address")
    subject, text = letter(_document(place, sending), language)
    message = EmailMessage(policy=SMTP)
    try:
        message["From"], message["To"], message["Subject"] = place.rules.mail.sender, address, subject
    except ValueError:
        return Answer(fault="its address is none")
    message["Date"] = format_datetime(datetime.fromisoformat(sending.created))
    message["Message-ID"] = f"<{sending.notice}@{place.rules.mail.sender.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text, cte="8bit")
    path = mail_folder(place.desk.home) / f"{sending.notice}.eml"
    durable.make_folders(path.parent)
    durable.write_file(path, message.as_bytes())
    return Answer(status=200)


def mail_folder(home: Path) -> Path:
    """Where mail files wait to be sent."""
    return home / MAIL


def _settle(place: Subscriptions, sending: Sending, state: str) -> None:
    with place.store.db.write() as db:
        db.execute(
            "UPDATE sendings SET state = ?, tries = tries + 1, fault = NULL WHERE notice = ? AND channel = ?",
            (state, sending.notice, sending.channel),
        )


def _tried(place: Subscriptions, sending: Sending, answer: Answer, now: datetime) -> bool:
    """Note that it was not taken; whether it is tried again."""
    waits, tries = place.rules.webhooks.retry_minutes, sending.tries + 1
    again = tries <= len(waits) and not answer.hopeless
    fault = answer.fault or f"it answered {answer.status}"
    after = moment(now + timedelta(minutes=waits[tries - 1])) if again else moment(now)
    with place.store.db.write() as db:
        db.execute(
            "UPDATE sendings SET state = ?, tries = ?, next_try = ?, fault = ? WHERE notice = ? AND channel = ?",
            (DUE if again else GIVEN_UP, tries, after, fault, sending.notice, sending.channel),
        )
    if not again:
        log.warning("notice %s was given up: %s", sending.notice, fault)
    return again
