"""What a run of today's recipe and problems would change, said before anything is done.

problems.py      today's problems against those of an earlier run, by content
differences.py   today's recipe against the earlier one, field by field, by what each costs
refresh_plan.py  both, against the newest release; what must be decoded, and what that takes
words.py         the plan in sentences and as a page
"""
