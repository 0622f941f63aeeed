"""How dates are written, a package a language; what none says is as Django writes it."""
