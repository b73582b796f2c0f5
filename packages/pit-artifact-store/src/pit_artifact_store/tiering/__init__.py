"""The tier of a store: packs away from this machine, as they are, sealed.

A tier has `packs/ID/SIZE`, each pack as it was when it had so many bytes, and `keys/STORE/NUMBER`, the file `keys` as
it was after so many changes, wrapped by the master key, which never leaves this machine.

Beside a pack, the file `packs/ID.tier` tells what of it is in the tier. Where the pack itself is not there, it is in
the tier alone. Each step leaves the pack where it was or in both places: first the file in the tier, read back and
compared, then a durable `.tier`, then the pack goes from here.
"""
