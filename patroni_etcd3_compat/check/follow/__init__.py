"""Going through a plan with the person who carries it out: it shows, waits, runs the gates and ticks off.

- ``progress``: the file with what was done, to go on after an interruption
- ``shell``: runs the gates with the variables of the plan
- ``walk``: one step after the other
"""
