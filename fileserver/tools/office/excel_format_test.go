package office

import (
	"strconv"
	"testing"
)

// The wanted texts but those of dates are what Excel and LibreOffice show.
func TestNumberFormats(t *testing.T) {
	for _, test := range []struct {
		code  string
		value float64
		want  string
	}{
		{"General", 0.1 + 0.2, "0.3"},
		{"General", 12345678901234567890, "12345678901234600000"},
		{"0", 2.5, "3"},
		{"0.00", 1.005, "1.01"},
		{"0.00", -0.001, "0.00"},
		{"0.##", 1.5, "1.5"},
		{"#.##", 0.5, ".5"},
		{"#,##0", 1234567.8, "1,234,568"},
		{"#,##0.00", -1234.5, "-1,234.50"},
		{"0%", 0.256, "26%"},
		{"0.0%", -0.0256, "-2.6%"},
		{`"$"#,##0.00_);[Red]\("$"#,##0.00\)`, -5, "($5.00)"},
		{`[$€-407]#,##0.00`, 5, "€5.00"},
		{`#,##0.00\ [$€-407]`, 1234, "1,234.00 €"},
		{`0.0,,"M"`, 2500000, "2.5M"},
		{"0.00E+00", 12345, "1.23E+04"},
		{"00000", 42, "00042"},
		{"000\\-00\\-0000", 123456789, "123-45-6789"},
		{"0;-0;;@", 0, ""},
		{`[>=1000]#,##0,"k";0`, 2500, "3k"},
		{`[>=1000]#,##0,"k";0`, 25, "25"},
		{"# ?/?", 0.5, "0.5"},
		{`0" kg"`, 3, "3 kg"},
		{"yyyy-mm-dd", 45292, "2024-01-01"},
		{"d/m/yy h:mm", 45292.5, "2024-01-01 12:00"},
		{"[$-409]mmmm d, yyyy;@", 45292, "2024-01-01"},
		{"h:mm AM/PM", 0.75, "18:00"},
		{"mm:ss.0", 0.0007, "00:01:00.48"},
		{"[h]:mm:ss", 1.5, "36:00:00"},
		{"mmm-yy", 59, "1900-02-28"},
		{"yyyy-mm-dd", 1, "1900-01-01"},
		{"yyyy", -1, "-1"},
		{"yyyy", 1e300, "1E+300"},
	} {
		if got := parseFormat(test.code).show(test.value, false); got != test.want {
			t.Errorf("%v as %q is %q, want %q", test.value, test.code, got, test.want)
		}
	}
}

func TestDates1904(t *testing.T) {
	f := parseFormat("yyyy-mm-dd")
	f.date1904 = true
	if got := f.show(0, false); got != "1904-01-01" {
		t.Error(got)
	}
}

func TestMovedFormulas(t *testing.T) {
	for _, test := range []struct {
		formula       string
		rows, columns int
		want          string
	}{
		{"A1+$B$2*C$3-$D4", 1, 2, "C2+$B$2*E$3-$D5"},
		{`IF(A1>0,"A1","it's")`, 2, 0, `IF(A3>0,"A1","it's")`},
		{"'A1 x'!A1+Sheet2!B2", 1, 1, "'A1 x'!B2+Sheet2!C3"},
		{"LOG10(A1)+TAX2024+A1B2", 1, 0, "LOG10(A2)+TAX2025+A1B2"}, // TAX2024 is a cell
		{"SUM(A1:A10)", 0, 1, "SUM(B1:B10)"},
		{"A1", -1, 0, "#REF!"},
		{"Table1[Sum]*2.5", 1, 1, "Table1[Sum]*2.5"},
	} {
		if got := moved(test.formula, test.rows, test.columns); got != test.want {
			t.Errorf("%q moved is %q, want %q", test.formula, got, test.want)
		}
	}
}

// Excel rounds hue and saturation to some 240 steps before it makes a colour of them, so that its own colours
// differ a little.
func TestTints(t *testing.T) {
	for _, test := range []struct {
		colour uint64
		tint   float64
		want   [3]int64 // as Excel's palette shows it
	}{
		{0x4472C4, 0.7999816888943144, [3]int64{0xD9, 0xE1, 0xF2}},
		{0x4472C4, 0.5999938962981048, [3]int64{0xB4, 0xC6, 0xE7}},
		{0x4472C4, -0.249977111117893, [3]int64{0x30, 0x54, 0x96}},
		{0xFFFFFF, -0.249977111117893, [3]int64{0xBF, 0xBF, 0xBF}},
		{0x000000, 0.499984740745262, [3]int64{0x80, 0x80, 0x80}},
	} {
		got := tinted(test.colour, test.tint)
		for i, want := range test.want {
			channel, err := strconv.ParseInt(got[1+2*i:3+2*i], 16, 64)
			if err != nil || max(channel-want, want-channel) > 3 {
				t.Errorf("%06X by %v is %s, want about %X", test.colour, test.tint, got, test.want)
			}
		}
	}
}

func FuzzNumberFormat(f *testing.F) {
	for _, code := range []string{`"$"#,##0.00;[Red]("$"#,##0.00)`, "[h]:mm:ss.00", "[>=5]0.0,,;General;@", "000\\-00", "# ?/?", "0.00E+00", "yyyy AM/PM"} {
		f.Add(code, 1234.5)
	}
	f.Fuzz(func(t *testing.T, code string, value float64) {
		format := parseFormat(code)
		for _, exact := range []bool{true, false} {
			// A number is hundreds of digits long at most, and what is around it as long as its format.
			if text := format.show(value, exact); len(text) > 1_000+8*len(code) {
				t.Errorf("%q shows %v with %d bytes", code, value, len(text))
			}
		}
	})
}

func FuzzMoved(f *testing.F) {
	f.Add("SUM($A1:B$2)*'x y'!C3&\"A1\"", 3, -1)
	f.Fuzz(func(t *testing.T, formula string, rows, columns int) {
		if got := moved(formula, rows%maxRow, columns%maxColumn); len(got) > 10*(len(formula)+1) {
			t.Errorf("%q became %q", formula, got)
		}
	})
}
