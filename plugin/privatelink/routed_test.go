package privatelink

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestRouteOfIsWhereTheServerSendsAName(t *testing.T) {
	directory := t.TempDir()
	rules := "routes:\n  - suffix: corp.example\n    group: corp\nmust_private:\n  - database.windows.net\n"
	corefile := ". {\n privatelink {\n upstream azure 168.63.129.16 10.1.0.68\n upstream corp 10.30.0.4\n upstream public 9.9.9.9\n" +
		" route catalog azure missing=public\n rules rules.yaml\n }\n}\n"
	for name, content := range map[string]string{"Corefile": corefile, "rules.yaml": rules} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stanzas, err := ReadStanzas(filepath.Join(directory, "Corefile"), nil)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := stanzas[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	for _, tc := range []struct{ name, want string }{
		{"v1.vault.azure.net.", "{[azure] [168.63.129.16 10.1.0.68] public false}"},
		{"db1.privatelink.database.windows.net.", "{[azure] [168.63.129.16 10.1.0.68] public true}"},
		{"sql.corp.example.", "{[corp] [10.30.0.4]  false}"},
		{"www.example.org.", "{[] []  false}"},
	} {
		if got := fmt.Sprint(opened.RouteOf(tc.name)); got != tc.want {
			t.Errorf("RouteOf(%q) = %s, want %s", tc.name, got, tc.want)
		}
	}
	if opened.Catalog().Match("v1.vault.azure.net.").Namespace == nil {
		t.Error("Catalog() does not have vault.azure.net")
	}
}
