"""The product: one app whose rooms import one way (see docs/decisions.md and the import contract)."""
