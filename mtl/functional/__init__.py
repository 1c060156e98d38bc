"""Pure torch maths: no state, no model, no Lightning."""
