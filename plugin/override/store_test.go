package override

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestFindUntilTheEnd(t *testing.T) {
	store := new(Store)
	add(t, store, change(TypeA, "10.0.2.4"))
	tests := []struct {
		name, ask string
		at        time.Time
		want      bool
	}{
		{"at once", name, night, true},
		{"just before the end", name, night.Add(4*time.Hour - 1), true},
		{"at the end", name, night.Add(4 * time.Hour), false},
		{"a name below", "a." + name, night, false},
		{"the name above", "database.windows.net.", night, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if found, ok := store.Find(tc.ask, tc.at); ok != tc.want || (found != nil) != tc.want {
				t.Errorf("Find(%s) = %v, %v; want %v", tc.ask, found, ok, tc.want)
			}
		})
	}
}

func TestAddReplaces(t *testing.T) {
	tests := []struct {
		name          string
		first, second Change
		want          string
	}{
		{"the same type", change(TypeA, "10.0.2.4", "10.0.2.5"), change(TypeA, "10.0.2.9"), "A 10.0.2.9"},
		{"AAAA beside A", change(TypeA, "10.0.2.4"), change(TypeAAAA, "fd00::4"), "A 10.0.2.4, AAAA fd00::4"},
		{"A beside AAAA", change(TypeAAAA, "fd00::4"), change(TypeA, "10.0.2.4"), "A 10.0.2.4, AAAA fd00::4"},
		{"addresses by an alias", change(TypeA, "10.0.2.4"), change(TypeCNAME, "db2.example"), "CNAME db2.example."},
		{"an alias by an address", change(TypeCNAME, "db2.example"), change(TypeA, "10.0.2.4"), "A 10.0.2.4"},
		{"addresses by a group", change(TypeA, "10.0.2.4"), change(TypeResolve, "public"), "resolve public"},
		{"a group by an address", change(TypeResolve, "public"), change(TypeAAAA, "fd00::4"), "AAAA fd00::4"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			store := new(Store)
			first := add(t, store, tc.first)
			before := first.Answer()
			tc.second.Who, tc.second.For = "robin", time.Hour
			_, replaced, err := store.Add(tc.second, night)
			if err != nil || replaced != first || first.Answer() != before {
				t.Errorf("Add replaced %v, %v; want what was there, unchanged", replaced, err)
			}
			list := store.List(night)
			if len(list) != 1 || list[0].Answer() != tc.want || list[0].Who != "robin" || !list[0].Expires.Equal(night.Add(time.Hour)) {
				t.Errorf("List = %+v, want only %s by robin for an hour", list, tc.want)
			}
		})
	}
}

func TestAddForgetsWhatHasExpired(t *testing.T) {
	store := new(Store)
	add(t, store, change(TypeA, "10.0.2.4"))
	added, replaced, err := store.Add(change(TypeAAAA, "fd00::4"), night.Add(5*time.Hour))
	if err != nil || replaced != nil || added.Answer() != "AAAA fd00::4" {
		t.Errorf("Add = %v, %v, %v; want AAAA alone in place of nothing", added, replaced, err)
	}
}

func TestRemove(t *testing.T) {
	store := new(Store)
	added := add(t, store, change(TypeA, "10.0.2.4"))
	if _, err := store.Remove("db2.database.windows.net", night); !errors.Is(err, ErrNotFound) {
		t.Errorf("Remove of another name = %v, want ErrNotFound", err)
	}
	if removed, err := store.Remove("DB1.database.windows.net", night); removed != added || err != nil {
		t.Errorf("Remove = %v, %v; want what was added", removed, err)
	}
	if _, found := store.Find(name, night); found || store.live.Load() != nil {
		t.Error("something is left, want nothing, at no cost")
	}
}

func TestExpireTellsOnce(t *testing.T) {
	store := new(Store)
	added := add(t, store, change(TypeA, "10.0.2.4"))
	other := change(TypeA, "10.0.2.5")
	other.Name, other.For = "db2.example", 8*time.Hour
	add(t, store, other)
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{time.Hour, 0}, {4 * time.Hour, 1}, {5 * time.Hour, 0}} {
		expired, err := store.Expire(night.Add(step.after))
		if err != nil || len(expired) != step.want || step.want == 1 && expired[0] != added {
			t.Errorf("Expire after %s = %v, %v; want %d", step.after, expired, err, step.want)
		}
	}
	if list := store.List(night); len(list) != 1 || list[0].Name != "db2.example." {
		t.Errorf("List = %v, want db2.example alone", list)
	}
}

func TestAddIsBounded(t *testing.T) {
	store := new(Store)
	full := map[string]*Override{}
	o := add(t, store, change(TypeA, "10.0.2.4"))
	for index := range MaxOverrides {
		full[fmt.Sprint(index, ".example.")] = o
	}
	store.use(full)
	if _, _, err := store.Add(change(TypeA, "10.0.2.4"), night); !errors.Is(err, ErrFull) {
		t.Errorf("Add to a full store = %v, want ErrFull", err)
	}
	instead := change(TypeA, "10.0.2.9")
	instead.Name = "17.example"
	if _, _, err := store.Add(instead, night); err != nil {
		t.Errorf("Add in place of another = %v, want it to fit", err)
	}
}

func TestListIsSorted(t *testing.T) {
	store := new(Store)
	if list := store.List(night); list == nil || len(list) != 0 {
		t.Errorf("List of nothing = %v, want an empty list", list)
	}
	for _, one := range []string{"c.example", "a.example", "b.example"} {
		c := change(TypeA, "10.0.2.4")
		c.Name = one
		add(t, store, c)
	}
	if list := store.List(night); len(list) != 3 || list[0].Name != "a.example." || list[2].Name != "c.example." {
		t.Errorf("List = %v, want it by name", list)
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	store := new(Store)
	for _, filled := range []bool{false, true} {
		if filled {
			add(t, store, change(TypeA, "10.0.2.4"))
		}
		if got := testing.AllocsPerRun(100, func() { store.Find(name, night) }); got != 0 {
			t.Errorf("Find with overrides %v: %v allocations, want none", filled, got)
		}
	}
}

func TestFindWhileOthersChange(t *testing.T) {
	store := new(Store)
	var changing sync.WaitGroup
	for range 4 {
		changing.Go(func() {
			for range 100 {
				_, _, _ = store.Add(change(TypeA, "10.0.2.4"), night)
				_, _ = store.Remove(name, night)
			}
		})
	}
	for range 1000 {
		if found, ok := store.Find(name, night); ok && found.Answer() != "A 10.0.2.4" {
			t.Errorf("Find = %v, want a whole override", found)
		}
	}
	changing.Wait()
}

func BenchmarkFindNone(b *testing.B) {
	store := new(Store)
	for b.Loop() {
		store.Find(name, night)
	}
}

func BenchmarkFindAmongMany(b *testing.B) {
	store := new(Store)
	o, err := change(TypeA, "10.0.2.4").override(night)
	if err != nil {
		b.Fatal(err)
	}
	many := map[string]*Override{name: o}
	for index := range MaxOverrides - 1 {
		many[fmt.Sprint(index, ".example.")] = o
	}
	store.use(many)
	for b.Loop() {
		store.Find(name, night)
	}
}
