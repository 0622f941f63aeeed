"""HTTP doors: they parse, ask a verb or a queryset, and answer as a page or as JSON. They decide nothing."""
