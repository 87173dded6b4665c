"""Names of what the engine keeps in the folders of `convert` and `train`."""

#: All weights; the state to go on from; the weights of the lowest validation loss.
WEIGHTS, STATE, BEST = "model.safetensors", "state", "best"
#: In `BEST`, with an objective that trains one: the head that predicts whole codons.
CODON_HEAD = "codon_head.safetensors"
