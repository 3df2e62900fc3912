package batch

import "slices"

// members is what is known about the kernel's array of sockets: for each index the
// number of our loop whose socket is there, or other. It ends with the last of ours, as
// there is no telling how many others follow.
type members []int

const other = -1

// assumed are the members where nothing else is known: one other socket, then ours in
// the order they were bound.
func assumed(loops int) members {
	m := members{other}
	for loop := range loops {
		m = append(m, loop)
	}
	return m
}

// ours returns the indexes of our sockets.
func (m members) ours() []int { return m.indexes(func(member int) bool { return member != other }) }

// others returns indexes of other sockets, all that are certain. If none is certain, it
// is the one that is another's if there is any other at all: the one behind the last of
// ours.
func (m members) others() []int {
	indexes := m.indexes(func(member int) bool { return member == other })
	if len(indexes) == 0 {
		return []int{len(m)}
	}
	return indexes
}

func (m members) indexes(match func(int) bool) []int {
	var indexes []int
	for index, member := range m {
		if match(member) {
			indexes = append(indexes, index)
		}
	}
	return indexes
}

// withoutLast are the members after the last one of ours has closed: an other one may
// have taken its place, but none of ours has moved.
func (m members) withoutLast() members {
	ours := m[:len(m)-1].ours()
	if len(ours) == 0 {
		return nil
	}
	return slices.Clone(m[:ours[len(ours)-1]+1])
}
