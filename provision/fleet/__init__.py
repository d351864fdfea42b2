"""Many tenants: the fleet file, what is done for each of its tenants, the record of runs, and the report.

A tenant is a row (``tenant``); what a run did for it is an ``Outcome``. Everything else stands between the two.
"""
