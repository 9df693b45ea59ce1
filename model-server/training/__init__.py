"""How the bundled models are made: draw pictures, learn from them, measure, write the card.

Nothing here runs in a served pod and nothing in `model_server` may import it. No picture, weight
or data set comes from outside: every training picture is drawn by `draw`, every picture of the
second held-out set by `heldout`, which shares no drawing code with it.
"""
