"""Classification, regression and labels by base: by the model, by what it makes of sequences, and without it.

`examples` are what is learnt from, `classifier` is the model with its heads, `methods` say what of it trains,
`training` trains it, `folder` keeps it, and `reads` are labelled with what was kept. `neural` is one method from its
start to its results.
"""
