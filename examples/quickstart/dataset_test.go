package main

import (
	"strings"
	"testing"
)

func TestPackages(t *testing.T) {
	t.Parallel()
	set, err := packages(strings.NewReader(`Package: one
Status: install ok installed
Section: contrib/net
Installed-Size: 12
Description: first, line
 Section: not a field

Package: removed
Status: deinstall ok config-files
Section: net
Installed-Size: 5

Package: virtual
Status: install ok installed

Package: last, with a comma
Status: install ok installed
Section: libs
Installed-Size: 7`))
	if err != nil {
		t.Fatal(err)
	}
	want := "name,group,size_kib\none,net,12\n\"last, with a comma\",libs,7\n"
	if set.csv.String() != want || set.rows != 2 {
		t.Errorf("got %d rows:\n%s", set.rows, set.csv.String())
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	set, err := sources("../..")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(set.csv.String(), "\nexamples/quickstart/main.go,examples,") {
		t.Error("this package's own main.go is not in the table")
	}
	if _, err := sources(t.TempDir()); err == nil {
		t.Error("an empty folder made a data set")
	}
}
