// Package transporttest is what the tests of backends have in common. What a backend has to keep is told by conformance;
// this is for what is its own.
package transporttest
