"""What would happen: a whole release against generated traffic, in virtual time.

Only the traffic is made here. The plan, the state machine (`decide`) and the judgement of the
counts (`judging`) are the operator's own, and so are the looks: their instants, their lag, the time
until every proxy follows a weight, the hour of history that calibrates them.

Looks are made ahead of time, and `trace.trace` tells the evidence after each of them in one go.
So a turn is taken only where it can change something: at a look after which the evidence reaches
what is needed, at a deadline, for an approval or a gate, at the end of a preview's bake, when
silence begins, lasts too long or ends. Copies and live requests have looks of their own.

`run` plays one release: `state` is where it is, `view` what the operator sees of it, `wake` when it
looks again, `chronicle` what is told of it. The traffic is made in `pods`, `series` and `looks`,
and `screen` says what the evidence may allow.
"""
