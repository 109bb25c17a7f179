"""The stages on Ray, the only folder that imports ray. `stages/` holds plain async functions, lifted onto actors here.

Engines are actors, shared by all roles that name the same specification, each in as many copies as asked for; workers
are actors that label shards; the driver gives out shards, writes finished ones, and gives a dead worker's to another.
Actors that do not fit yet start when nodes join. Whatever dies, replies are in the ledger already.
"""
