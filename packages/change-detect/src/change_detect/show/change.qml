<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22" styleCategories="Symbology|Labeling">
  <renderer-v2 type="graduatedSymbol" attr="mean_probability" graduatedMethod="GraduatedColor" enableorderby="0" symbollevels="0">
    <ranges>
      <range lower="0" upper="0.6" symbol="0" label="below 0.6" render="true"/>
      <range lower="0.6" upper="0.8" symbol="1" label="0.6 to 0.8" render="true"/>
      <range lower="0.8" upper="1" symbol="2" label="above 0.8" render="true"/>
    </ranges>
    <symbols>
      <symbol type="fill" name="0" alpha="1"><layer class="SimpleFill" enabled="1"><Option type="Map"><Option type="QString" name="color" value="254,204,92,110"/><Option type="QString" name="outline_color" value="240,140,30,255"/><Option type="QString" name="outline_width" value="0.4"/><Option type="QString" name="style" value="solid"/></Option></layer></symbol>
      <symbol type="fill" name="1" alpha="1"><layer class="SimpleFill" enabled="1"><Option type="Map"><Option type="QString" name="color" value="253,141,60,120"/><Option type="QString" name="outline_color" value="220,80,10,255"/><Option type="QString" name="outline_width" value="0.4"/><Option type="QString" name="style" value="solid"/></Option></layer></symbol>
      <symbol type="fill" name="2" alpha="1"><layer class="SimpleFill" enabled="1"><Option type="Map"><Option type="QString" name="color" value="213,62,0,140"/><Option type="QString" name="outline_color" value="150,30,0,255"/><Option type="QString" name="outline_width" value="0.4"/><Option type="QString" name="style" value="solid"/></Option></layer></symbol>
    </symbols>
  </renderer-v2>
</qgis>
