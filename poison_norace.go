//go:build !race

package peregrine

const raceDetector = false
