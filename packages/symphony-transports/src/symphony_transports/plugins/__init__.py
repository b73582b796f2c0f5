"""What the host registers: one module for each transport; none imports its transport before it is used."""
