package wire

import "encoding/binary"

// Answers walks over the answer section of a stored message. The zero value has
// no records.
type Answers struct {
	message  []byte
	at, left int
}

// AnswersOf returns the answers of a message that is Whole; of another, those that
// can be read. It allocates nothing and keeps the message.
func AnswersOf(message []byte) Answers {
	end := storedQuestion(message)
	if end == 0 {
		return Answers{}
	}
	return Answers{message: message, at: end, left: int(binary.BigEndian.Uint16(message[6:]))}
}

// Next returns the next record, false behind the last.
func (a *Answers) Next() (Record, bool) {
	if a.left == 0 {
		return Record{}, false
	}
	found, whole := recordAt(a.message, a.at)
	if !whole {
		a.left = 0
		return Record{}, false
	}
	a.left--
	a.at = found.end
	return Record{message: a.message, record: found}, true
}

// Record is a resource record of a message, of which it is a part.
type Record struct {
	message []byte
	record  record
}

// Type is the record's TYPE.
func (r Record) Type() uint16 { return r.record.rtype }

// TTL is the record's TTL, in seconds.
func (r Record) TTL() uint32 { return r.record.ttl(r.message) }

// Data is the record's RDATA. It is part of the message and must not be changed.
func (r Record) Data() []byte { return r.message[r.record.data():r.record.end] }

// Name is a domain name in wire form, lower case and not compressed.
type Name struct {
	bytes  [maxNameSize]byte
	length uint8
}

// NameOf is the name of a question.
func NameOf(question *Question) Name { return Name{question.name, question.length} }

// OwnedBy reports whether the record's owner is a name, in whatever case.
func (r Record) OwnedBy(name *Name) bool {
	at := r.record.start
	if int(r.message[at]) == pointer>>8 && r.message[at+1] == headerSize {
		// The usual: it points to the question, which is written out in lower case.
		end := headerSize + int(name.length)
		return end <= len(r.message) && string(r.message[headerSize:end]) == string(name.bytes[:name.length])
	}
	return isName(r.message, at, name.bytes[:name.length])
}

// Target reads the name that RDATA begins with into to: that of a CNAME record. It
// reports false where there is none.
func (r Record) Target(to *Name) bool {
	return skipName(r.message, r.record.data()) <= r.record.end && to.expand(r.message, r.record.data())
}

// Wire is the name's octets. They are part of it and must not be changed.
func (n *Name) Wire() []byte { return n.bytes[:n.length] }

// AppendPresentation appends the name as miekg/dns prints it.
func (n *Name) AppendPresentation(buffer []byte) []byte {
	return appendPresentation(buffer, n.bytes[:n.length])
}

// expand reads the name at an offset of a message.
func (n *Name) expand(message []byte, at int) bool {
	*n = Name{}
	length := expandName(message, at, &n.bytes)
	n.length = uint8(length)
	lowerName(n.bytes[:length])
	return length > 0
}
