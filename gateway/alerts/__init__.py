"""Alerts: what an operator must hear of at once, told without another system.

A wing. ``look`` reads how things stand, ``rules`` says what of it is trouble, ``judge``
when that is told and when it is over, ``tell`` brings it to whoever was named. The
rules and the judge are pure: the clock is an argument.
"""
