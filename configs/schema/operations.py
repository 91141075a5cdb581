"""What an operator sets about daily operations, in ``HOME/configs/operations.yaml``."""

from typing import Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from configs.schema.values import Days, Value


class PassRules(Value):
    """How passes are planned, and how long their deliveries are waited for."""

    tle_stale_days: Days = Field(default=7.0, description="elements older than this are warned of")
    tle_refused_days: Days = Field(default=30.0, description="elements older than this plan nothing")
    plan_days: float = Field(default=3.0, gt=0, le=14, description="how far ahead passes get their runs")
    moved_s: PositiveFloat = Field(default=10.0, description="a pass that newer elements shift by more is planned anew")
    first_look_minutes: PositiveFloat = Field(default=10.0, description="from the end of the pass to the first look")
    look_again_minutes: PositiveFloat = Field(default=15.0, description="from one look to the next")
    give_up_hours: PositiveFloat = Field(
        default=6.0, description="from the end of the pass to going on without the rest"
    )
    late_days: Days = Field(default=14.0, description="how long a closed pass still takes late deliveries")


class AlarmRules(Value):
    """When an event of alarm is recorded. Each is told once, and once more when it is over."""

    disk_free_percent: float = Field(default=10.0, ge=0, le=100, description="less free room than this is an alarm")
    disk_free_gb: float = Field(default=20.0, ge=0, description="less free room than this is an alarm; 10^9 bytes")
    waiting_packages: PositiveInt = Field(default=50, description="more packages waiting than this is an alarm")
    waiting_minutes: PositiveFloat = Field(default=60.0, description="one package waiting longer is an alarm")


class OperationsConfig(Value):
    """Everything has a default: the file need not be there."""

    passes: PassRules = PassRules()
    alarms: AlarmRules = AlarmRules()

    @model_validator(mode="after")
    def _refused_after_stale(self) -> Self:
        if self.passes.tle_refused_days < self.passes.tle_stale_days:
            raise ValueError("passes.tle_refused_days must not be less than passes.tle_stale_days")
        return self
