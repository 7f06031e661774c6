//go:build !race

package pgrpc_test

const raceEnabled = false
