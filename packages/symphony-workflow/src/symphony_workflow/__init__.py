"""The workflow model of Symphony: builder, validation, JSON codec."""
