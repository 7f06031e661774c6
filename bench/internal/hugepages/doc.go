// Package hugepages reserves large pages of memory for a while.
package hugepages
