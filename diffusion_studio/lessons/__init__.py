"""The course of the tab Learn: lessons as files (`lesson`), and the figures that they name (`figures`)."""
