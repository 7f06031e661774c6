package main

import (
	_ "example.com/lib"
	_ "github.com/peregrine-rpc/peregrine/core"
)

func main() {}
