"""What a layer will do: a modelled fleet, stepped through the real plan_layer on virtual time. Pure."""
