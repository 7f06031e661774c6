package wire

import "encoding/binary"

// Sizes of what a handshake says, in bytes.
const (
	pieceHead = 4
	// MaxPiece is the most bytes of a handshake in one datagram.
	MaxPiece = 1024
	// MaxPieces is how many of these one side may send.
	MaxPieces  = 64
	cryptoHead = 8 + 8
	// MaxCrypto is the longest encoded CryptoBody.
	MaxCrypto = cryptoHead + pieceHead + MaxPiece
)

// Piece is a part of what one side of a handshake says: as much as fits in a datagram,
// so that each can be sent again for itself.
type Piece struct {
	// Number counts a side's pieces from 0, to below MaxPieces.
	Number uint8
	// Ends says that no piece follows.
	Ends bool
	// Failed says that the sender has given up: Data is as PutReason encodes it, and
	// Number means nothing.
	Failed bool
	Data   []byte // none: there is no piece
}

// The bits of a piece's second byte.
const (
	pieceEnds = 1 << iota
	pieceFailed
)

// Put encodes p at the start of b, and returns its size.
func (p *Piece) Put(b []byte) int {
	b[0], b[1] = p.Number, 0
	if p.Ends {
		b[1] |= pieceEnds
	}
	if p.Failed {
		b[1] |= pieceFailed
	}
	binary.LittleEndian.PutUint16(b[2:], uint16(len(p.Data)))
	return pieceHead + copy(b[pieceHead:], p.Data)
}

// Parse decodes a piece at the start of b, of which Data is a view. Behind the body of a
// Hello there may be none.
func (p *Piece) Parse(b []byte) error {
	if len(b) < pieceHead {
		return ErrLength
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n > MaxPiece || len(b)-pieceHead < n {
		return ErrLength
	}
	if b[0] >= MaxPieces || b[1]&^(pieceEnds|pieceFailed) != 0 {
		return ErrType
	}
	*p = Piece{Number: b[0], Ends: b[1]&pieceEnds != 0, Failed: b[1]&pieceFailed != 0, Data: b[pieceHead : pieceHead+n]}
	return nil
}

// CryptoBody is the body of Crypto and PostCrypto.
type CryptoBody struct {
	// Connection and Token are the sender's, for the other side's Header.
	Connection uint32
	Token      uint32
	// Have has a bit set for each of the other side's pieces that came: bit n for number n.
	Have uint64
	Piece
}

// Put encodes c at the start of b, and returns its size.
func (c *CryptoBody) Put(b []byte) int {
	_ = b[cryptoHead-1]
	binary.LittleEndian.PutUint32(b, c.Connection)
	binary.LittleEndian.PutUint32(b[4:], c.Token)
	binary.LittleEndian.PutUint64(b[8:], c.Have)
	return cryptoHead + c.Piece.Put(b[cryptoHead:])
}

// Parse decodes the body of a Crypto or PostCrypto. Data is a view of b.
func (c *CryptoBody) Parse(b []byte) error {
	if len(b) < cryptoHead {
		return ErrLength
	}
	c.Connection = binary.LittleEndian.Uint32(b)
	c.Token = binary.LittleEndian.Uint32(b[4:])
	c.Have = binary.LittleEndian.Uint64(b[8:])
	if c.Token == 0 {
		return ErrParams
	}
	return c.Piece.Parse(b[cryptoHead:])
}

// IdentitySize is the length of an encoded Identity in bytes.
const IdentitySize = AcceptSize

// Identity is what the two sides of a sealed connection tell each other in their
// handshake, which vouches for it. It is encoded as the body of Accept is.
type Identity = AcceptBody
