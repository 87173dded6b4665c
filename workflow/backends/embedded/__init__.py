"""Training of the embedded engine by Lightning, in this process or in several.

`batches` cuts the samples of each step among processes; `adaptation` is what is optimised, `fsdp` how it is spread,
`keeping` what is kept of it, and `training` the whole of it. `processes` starts several by torchrun, of which each is
a `rank`.
"""
