"""The flow ``day-report``: the operators' page of the day.

It writes `HOME/logs/day/<date>.html` every hour, of today, and once more of yesterday, when that is over: passes,
packages and what became of them, times, failures by reason, alarms, disk. The artifact `day` says it in short.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from configs.settings import Home
from pipelines.day_facts import day_facts
from pipelines.day_page import day_markdown, write_day_page
from pipelines.requests import Request


class DayRequest(Request):
    """Write the page of one day."""

    day: date | None = Field(default=None, description="The day, in UTC. Empty: today, and yesterday until 02:00")


@flow(name="day-report", flow_run_name="page of the day", description=__doc__, persist_result=False)
def day_report(request: DayRequest) -> State[dict[str, Any]]:
    """Write the page. Returns its path."""
    home, now = Home.resolve(request.home_path), datetime.now(UTC)
    days = [request.day or now.date()]
    if request.day is None and now.hour < 2:
        days.insert(0, now.date() - timedelta(days=1))
    for day in days:
        facts = day_facts(home, day, now=now)
        path = write_day_page(home, facts)
    create_markdown_artifact(
        key="day", markdown=f"{day_markdown(facts)}\n\nPage: `{path}`", description=f"The day {facts.date}"
    )
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(facts.outcomes.items()))
    return Completed(message=told or "nothing happened", data={"path": str(path)})
