"""What is told to a Prefect server that has just started: which runs ended with the machine, and which flows there are.

Run as a program by :mod:`pipelines.serve`, with the server's address in its environment.
"""

from pipelines.deployments import FLOWS, deployment_of, register

ORPHAN = "It was running when the installation stopped."


def end_orphans() -> int:
    """Mark every run that claims to run as crashed: nothing runs before the worker does.

    Returns
    -------
    count
        How many there were.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    claimed = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING])
    count = 0
    with get_client(sync_client=True) as client:
        while True:
            runs = client.read_flow_runs(
                flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=claimed)), limit=200
            )
            for run in runs:
                client.set_flow_run_state(run.id, Crashed(message=ORPHAN), force=True)
            count += len(runs)
            if len(runs) < 200:
                return count


if __name__ == "__main__":
    end_orphans()
    register([deployment_of(flow) for flow in FLOWS])
