"""What all tasks share: the protocol, the configuration, the network, the options."""
