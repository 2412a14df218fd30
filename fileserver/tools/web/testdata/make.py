"""Makes the documents of this folder that README.md says it makes. Needs nbformat."""

import base64
import email.message
import email.policy
import xml.etree.ElementTree as ET
from email.headerregistry import Address

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 40).decode()


def notebook():
    book = new_notebook(metadata={"language_info": {"name": "python", "version": "3.12"}, "title": "Tides", "authors": [{"name": "Ada Beaumont"}]})
    book.cells = [
        new_markdown_cell("# Tides\n\nHeights in *metres*."),
        new_code_cell(
            "import pandas as pd\nframe = pd.DataFrame({'port': ['Brest'], 'high': [7.1]})\nprint('read', len(frame))\nframe",
            execution_count=1,
            outputs=[
                new_output("stream", name="stdout", text="read 1\n"),
                new_output("execute_result", execution_count=1, data={"text/plain": "    port  high\n0  Brest   7.1", "text/html": "<table><tr><td>no</td></tr></table>"}),
            ],
        ),
        new_code_cell("frame.plot()", execution_count=2, outputs=[new_output("display_data", data={"image/png": PNG, "text/plain": "<Figure size 640x480>"})]),
        new_code_cell(
            "1/0",
            execution_count=3,
            outputs=[new_output("error", ename="ZeroDivisionError", evalue="division by zero", traceback=["\x1b[31mZeroDivisionError\x1b[0m Traceback", "\x1b[32m----> 1\x1b[0m 1/0", "ZeroDivisionError: division by zero"])],
        ),
        new_code_cell("show()", execution_count=4, outputs=[new_output("display_data", data={"text/html": "<table><tr><th>a<th>b<tr><td>1<td>2</table>", "application/json": {"a": [1, 2]}})]),
        new_raw_cell("raw ``` text"),
    ]
    nbformat.write(book, "tides.ipynb")
    nbformat.write(nbformat.convert(book, 3), "tides3.ipynb", version=3)


def mail():
    inner = email.message.EmailMessage()
    inner["From"] = "port@example.org"
    inner["Subject"] = "Heights"
    inner.set_content("High water at noon.\n")
    message = email.message.EmailMessage()
    message["From"] = Address("Kōji Tanaka", "koji", "example.org")
    message["To"] = "ada@example.org, Jürgen <jg@example.org>"
    message["Cc"] = "harbour@example.org"
    message["Date"] = "Mon, 06 Apr 2026 10:00:00 +0900"
    message["Subject"] = "潮の表 – tide tables for Saint-Malo, Brest, 清水 and every other port that we asked about"
    message.set_content("Dear Ada,\n\nthe heights are 12 m – more than we thought.\n\n> Are they?\n\nKōji\n", cte="quoted-printable")
    message.add_alternative("<p>Dear Ada,<p>the heights are <b>12 m</b>", subtype="html")
    message.add_attachment(b"\x89PNG1234", maintype="image", subtype="png", filename="Größe der Flut.png")
    message.add_attachment("port;high\nBrest;7,1\n", subtype="csv", filename="heights.csv")
    message.add_attachment(inner)
    with open("tides.eml", "wb") as out:
        out.write(message.as_bytes(policy=email.policy.SMTP))
    japanese = email.message.EmailMessage()
    japanese["Subject"] = "latin"
    plain = (
        b"From: =?iso-2022-jp?b?GyRCRURDZhsoQg==?= <t@example.org>\r\nSubject: =?iso-8859-1?q?Fl=F4ts_?=\r\n =?iso-8859-1?q?et_mar=E9es?=\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-2022-jp\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + "潮汐の表です。\r\n".encode("iso-2022-jp")
    )
    with open("jis.eml", "wb") as out:
        out.write(plain)


def feed():
    root = ET.Element("ports", {"date": "2026-04-01"})
    for name, high in [("Brest", 7.1), ("Saint-Malo", 12.2), ("清水", 1.6)]:
        port = ET.SubElement(root, "port", {"name": name})
        ET.SubElement(port, "high", {"unit": "m"}).text = str(high)
        ET.SubElement(port, "note").text = "two\nlines & more"
    mixed = ET.SubElement(root, "p")
    mixed.text, em = "The sea ", ET.SubElement(mixed, "em")
    em.text, em.tail = "rises", " twice."
    root.append(ET.Comment(" the end "))
    ET.ElementTree(root).write("ports.xml", encoding="utf-16", xml_declaration=True)


notebook()
mail()
feed()
