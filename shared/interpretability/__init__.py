"""Explanations that are checked. Shapley-style values, integrated and expected gradients, occlusion and
Grad-CAM return one result type that names what was explained, against which baseline and in which unit, with
its completeness error; `faithfulness` then tests it against random orders and randomised parameters. Every
function leaves the model as it found it."""
