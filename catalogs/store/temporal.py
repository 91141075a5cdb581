"""CQL2's relations between times, as SQL over their first and last moments, for both stores."""

TIME_COMPARISONS = {
    "=": "({0} >= {2} AND {1} <= {3})",
    "<>": "NOT ({0} >= {2} AND {1} <= {3})",
    "<": "({1} < {2})",
    "<=": "({1} <= {3})",
    ">": "({0} > {3})",
    ">=": "({0} >= {2})",
}
"""As ``TEMPORAL``."""
TEMPORAL = {
    "t_after": "({0} > {3})",
    "t_before": "({1} < {2})",
    "t_disjoint": "({1} < {2} OR {0} > {3})",
    "t_during": "({0} > {2} AND {1} < {3})",
    "t_contains": "({0} < {2} AND {1} > {3})",
    "t_equals": "({0} = {2} AND {1} = {3})",
    "t_intersects": "({0} <= {3} AND {1} >= {2})",
    "t_meets": "({1} = {2})",
    "t_metby": "({0} = {3})",
    "t_starts": "({0} = {2} AND {1} < {3})",
    "t_startedby": "({0} = {2} AND {1} > {3})",
    "t_finishes": "({0} > {2} AND {1} = {3})",
    "t_finishedby": "({0} < {2} AND {1} = {3})",
    "t_overlaps": "({0} < {2} AND {1} > {2} AND {1} < {3})",
    "t_overlappedby": "({0} > {2} AND {0} < {3} AND {1} > {3})",
}
"""What relates the ends 0 and 1 of one time to the ends 2 and 3 of another."""
