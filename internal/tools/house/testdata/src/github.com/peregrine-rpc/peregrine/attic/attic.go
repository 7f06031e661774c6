package attic // want `folder attic has no entry in the import table`
