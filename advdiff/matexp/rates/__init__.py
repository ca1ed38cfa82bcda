"""Rate matrices: certificates, random laws, studies."""
