// Package unseal opens the sealed datagrams of a recording with the secrets of a key
// log, so that whatever reads plain datagrams reads them.
package unseal
