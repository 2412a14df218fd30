package data

import "github.com/sandgate/sandgate/fileserver/tools/document"

func CSV(in *document.Input, out *document.Output) error { panic("TODO") }

func JSON(in *document.Input, out *document.Output) error { panic("TODO") }

func JSONLines(in *document.Input, out *document.Output) error { panic("TODO") }

func Text(in *document.Input, out *document.Output) error { panic("TODO") }

func SQLite(in *document.Input, out *document.Output) error { panic("TODO") }

func Zip(in *document.Input, out *document.Output) error { panic("TODO") }

func Tar(in *document.Input, out *document.Output) error { panic("TODO") }
