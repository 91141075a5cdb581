"""What is told to a Prefect server that has just started: which flows there are, and how much may run at a time.

Run as a program by :mod:`pipelines.serve`, with the server's address in its environment.
"""

from configs.compute import load_compute
from configs.settings import Home
from pipelines.deployments import FLOWS, deployment_of, register
from pipelines.limits import set_limits

if __name__ == "__main__":
    limits = load_compute(Home.resolve().configs).limits
    set_limits(limits)
    register([deployment_of(flow) for flow in FLOWS], scenes=limits.scenes)
