//go:build race

package peregrine

const raceDetector = true
