"""How Symphony's processes talk: envelope, framing, connections and transports."""
