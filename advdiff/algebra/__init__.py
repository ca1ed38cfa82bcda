"""Where equation and semigroup meet: a generator A = M⁻¹K, its pattern, resolvent and range."""
