"""Explanations that are checked. Shapley-style values, integrated and expected gradients and Grad-CAM name what was
explained, against which baseline and in which unit, with the completeness error where there is one; `faithfulness`
then tests them against random orders and randomised parameters. Every function leaves the model as it found it."""
