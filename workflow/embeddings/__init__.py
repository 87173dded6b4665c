"""What the stage `embed` needs beside the model: which layers, the sequences at hand, and a probe of the result.

`layers` resolves their names; `spool` keeps what was read of a stream for it to be cut into parts; `probe` tells how
much each layer knows of a label or number.
"""
