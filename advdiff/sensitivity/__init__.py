"""The sensitivity ρ, its surrogates and their bounds."""
