package cache

import (
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// maxViewSize is the longest name of a view that can be kept.
const maxViewSize = 255

// Key is what an answer is kept under: everything that a question's answer depends
// on. It can be compared with == and be a map's key.
type Key struct {
	// Question is the question in lower case.
	Question wire.Question
	// DO and CD are the flags of the query (RFC 4035 section 3.2).
	DO, CD bool
	// View is the name of the view that the client is in; empty for none. Longer
	// names than 255 bytes are not kept.
	View string
}

// KeyOf returns the key of a query. It allocates nothing.
func KeyOf(query *wire.Query, view string) Key {
	return Key{Question: query.Question, DO: query.DO, CD: query.CD, View: view}
}

func (k *Key) flags() uint8 {
	flags := uint8(0)
	if k.DO {
		flags |= flagDO
	}
	if k.CD {
		flags |= flagCD
	}
	return flags
}
